import { createHash } from 'node:crypto'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Plugin } from 'vite'

const source = fileURLToPath(new URL('./service-worker.js', import.meta.url))

/** Kept only where they are used: builds of a backend for browsers without SIMD, or for threads. */
const optional = /tfjs-backend-wasm-(?!simd)[^/]*\.wasm$/

/** Writes `sw.js` beside the built page: the service worker, with the list of files that it keeps. */
export function offlinePlugin(): Plugin {
  let folder = ''
  return {
    name: 'offline',
    apply: 'build',
    configResolved: (config) => {
      folder = join(config.root, config.build.outDir)
    },
    closeBundle: async () => {
      const hash = createHash('sha256')
      const files = ['./']
      for (const path of await filesIn(folder)) {
        const name = relative(folder, path).split(sep).join('/')
        if (name === 'sw.js' || optional.test(name)) continue
        hash.update(name).update(await readFile(path))
        if (name !== 'index.html') files.push(name)
      }
      const head = `const version = '${hash.digest('hex').slice(0, 16)}'\nconst files = ${JSON.stringify(files)}\n`
      await writeFile(join(folder, 'sw.js'), head + (await readFile(source, 'utf8')))
    },
  }
}

async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true })
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
}
