// npm test: installs, builds, checks types and style, then runs every test on every backend there is.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromium, install, root, run } from './setup.mjs'

install()
const browser = chromium()
run('npx', [
  'turbo',
  'run',
  'build',
  'types',
  'types:scripts',
  'lint',
  'sizes:check',
  'pack',
  '--output-logs=errors-only',
])
run('node', ['scripts/tables.mjs', '--check'])
// advisories are asked for in CI alone: the tests need no network
run('node', ['scripts/publish/audit.mjs', ...(process.env.CI ? [] : ['--offline'])])
// outside of CI one selection stands for all
run('node', ['scripts/publish/installs.mjs', ...(process.env.CI ? [] : ['--quick'])])

// WebGPU tests run on the software driver that Chromium brings
const withoutBrowser = ['--project', 'cpu', '--project', 'wasm']
const report = join(mkdtempSync(join(tmpdir(), 'mneme-')), 'report.json')
const { status } = spawnSync(
  'npx',
  [
    'vitest',
    'run',
    ...(browser ? [] : withoutBrowser),
    '--reporter=default',
    '--reporter=json',
    `--outputFile=${report}`,
  ],
  { cwd: root, stdio: 'inherit', env: { ...process.env, ...(browser && { MNEME_CHROMIUM: browser }) } },
)
if (!browser) {
  console.log('\nSKIPPED, because there is no Chromium and none could be installed:')
  spawnSync('npx', ['vitest', 'list', '--project', 'webgpu', '--project', 'browser'], { cwd: root, stdio: 'inherit' })
}
const { numPassedTests, numFailedTests, numPendingTests } = JSON.parse(readFileSync(report, 'utf8'))
console.log(`\n${numPassedTests} passed, ${numFailedTests} failed, ${numPendingTests} skipped`)
process.exit(status !== 0 ? 1 : !browser && process.env.MNEME_REQUIRE_BROWSER ? 1 : 0)
