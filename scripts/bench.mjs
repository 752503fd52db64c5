// npm run bench [op]: builds, then times kernels and whole jobs; without an op, docs/benchmarks.md is written anew.
import { install, root, run } from './setup.mjs'

install()
run('npx', ['turbo', 'run', 'build', '--filter=./packages/*', '--output-logs=errors-only'])
const given = process.argv.slice(2)
const whole = given.every((arg) => arg.startsWith('-'))
run('node', [
  '--expose-gc',
  'packages/cli/dist/bin.js',
  'bench',
  ...(whole ? ['--write', `${root}docs/benchmarks.md`] : []),
  ...given,
])
