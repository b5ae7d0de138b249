import { enableCompileCache } from "node:module";

// Compiled code and stripped types are kept between starts. It has to be on before the first import, so the rest is imported after it.
enableCompileCache();
await import("./gateway.ts");
