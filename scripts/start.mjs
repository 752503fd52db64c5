// npm start: installs, builds and serves the playground, from a fresh clone on.
import { spawn } from 'node:child_process'
import { install, root, run } from './setup.mjs'

install()
run('npx', ['turbo', 'run', 'build', '--output-logs=errors-only'])
const server = spawn('node', ['apps/playground/server.mjs'], { cwd: root, stdio: 'inherit' })
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => server.kill(signal))
server.on('exit', (code) => process.exit(code ?? 0))
