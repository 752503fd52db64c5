import { useWasm } from './index.js'

await useWasm()
