import { fileURLToPath } from 'node:url'
import { type Alias, type Plugin, runnerImport } from 'vite'
import type { Catalogue } from '../src/experiment/catalogue'

const id = 'virtual:catalogue'
const collector = fileURLToPath(new URL('./collect.ts', import.meta.url))

/** Gives the page what it shows of papers and tasks as plain data, so that their code is loaded only to be run. */
export function cataloguePlugin(alias: Alias[]): Plugin {
  return {
    name: 'catalogue',
    resolveId: (source) => (source === id ? `\0${id}` : undefined),
    async load(source) {
      if (source !== `\0${id}`) return undefined
      const { module, dependencies } = await runnerImport<{ catalogue: Catalogue }>(collector, {
        configFile: false,
        resolve: { alias },
        logLevel: 'warn',
      })
      for (const file of dependencies) this.addWatchFile(file)
      return `export default JSON.parse(${JSON.stringify(JSON.stringify(module.catalogue))})`
    },
  }
}
