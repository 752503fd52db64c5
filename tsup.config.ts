import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { defineConfig } from 'tsup'

// one file of the package a source file: each subpath export is one, a bundler leaves out whole files, and an error's
// stack names them
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
  tsconfig: 'tsconfig.build.json',
  bundle: false,
  sourcemap: true,
  clean: true,
  dts: false,
})
