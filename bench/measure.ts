// What the kernel says of a process and of a core. Linux only: it reads /proc.
import { readFileSync } from "node:fs";

/** USER_HZ is 100 on every Linux that Node runs on, whatever the kernel's own tick. */
const tickMs = 10;

/** The process and all below it: a gateway may be a cluster or a shell script. */
function family(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1").trim();
  return [pid, ...(children === "" ? [] : children.split(" ").flatMap((child) => family(Number(child))))];
}

/** CPU time, user and system, of a process with all its threads and children, in ms. */
export function cpuMs(pid: number): number {
  let ticks = 0;
  for (const member of family(pid)) {
    const stat = readFileSync(`/proc/${member}/stat`, "latin1");
    // The name stands in brackets and may hold spaces; utime and stime are fields 14 and 15.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    ticks += Number(fields[11]) + Number(fields[12]);
  }
  return ticks * tickMs;
}

/** Proportional set size (shared pages are split between those who share them) of a process and its children, in MB. */
export function memoryMb(pid: number): number {
  let kilobytes = 0;
  for (const member of family(pid)) {
    const rollup = readFileSync(`/proc/${member}/smaps_rollup`, "latin1");
    kilobytes += Number(/^Pss:\s+(\d+)/m.exec(rollup)?.[1] ?? Number.NaN);
  }
  return kilobytes / 1024;
}

/** Time in which a core was not idle, in ms, by anyone, the host's other guests included. */
export function coreBusyMs(core: number): number {
  const line = readFileSync("/proc/stat", "latin1")
    .split("\n")
    .find((line) => line.startsWith(`cpu${core} `));
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = (line ?? "").split(" ").slice(1).map(Number);
  return (user + nice + system + irq + softirq + steal) * tickMs;
}

/** The cores that this process may use. */
export function allowedCores(): number[] {
  const list = /^Cpus_allowed_list:\s+(.*)$/m.exec(readFileSync("/proc/self/status", "latin1"))?.[1] ?? "0";
  return list.split(",").flatMap((range) => {
    const [first = 0, last = first] = range.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
}
