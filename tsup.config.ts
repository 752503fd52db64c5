import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { defineConfig } from 'tsup'

// every source file is an entry of its own, so that each subpath export maps to one file and shared code is split out
const entries = (dir: string): string[] =>
  readdirSync(dir, { withFileTypes: true }).flatMap((entry) => {
    const path = join(dir, entry.name)
    if (entry.isDirectory()) return entries(path)
    return /\.ts$/.test(entry.name) && !/\.(test|bench|d)\.ts$/.test(entry.name) ? [path] : []
  })

export default defineConfig({
  entry: entries('src'),
  format: 'esm',
  target: 'es2022',
  platform: 'neutral',
  // tsconfig paths lead to the sources of the other packages; they are dependencies, not parts
  external: [/^node:/, /^@mneme\//, /^@tensorflow\//],
  splitting: true,
  sourcemap: true,
  clean: true,
  dts: false,
  skipNodeModulesBundle: true,
})
