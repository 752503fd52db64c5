import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const folders = ['kernels-wasm/assembly', 'kernels-wasm/src', 'kernels-webgpu/src'] as const

/** Changes whenever a kernel does: verdicts of a self-test are of one version. */
export function kernelsVersion(packages: string): string {
  const hash = createHash('sha256')
  for (const folder of folders) {
    for (const name of readdirSync(join(packages, folder), { recursive: true, encoding: 'utf8' }).sort()) {
      if (!/(?<!\.test)\.ts$/.test(name)) continue
      hash.update(name).update(readFileSync(join(packages, folder, name)))
    }
  }
  return hash.digest('hex').slice(0, 12)
}
