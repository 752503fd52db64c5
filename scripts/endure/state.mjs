// npm run long:state [mixer] [tokens]: feeds a mixer that says its state is bounded, token after token, and says what the
// state takes on the way. For those that are too slow for the tests.
import { advance, disposeState, normal, Rng, stateBytes } from '@mneme/core-tensor'
import { useWasm } from '@mneme/kernels-wasm'
import { mixers } from '@mneme/models/mixers'

const [name = 'turing memory', tokens = '100000'] = process.argv.slice(2)
const make = mixers[name]
if (make === undefined) {
  console.error(`long:state ${name}: no such mixer. Known: ${Object.keys(mixers).join(', ')}.`)
  process.exit(2)
}

const D = 16
const parts = 20
const piece = Math.max(1, Math.floor(Number(tokens) / parts))

await useWasm()
const mixer = make(D, new Rng(1))
const x = normal(new Rng(2), [1, piece, D], 1)
let state = mixer.initialState(1)
const seen = []
for (let part = 1; part <= parts; part++) {
  state = advance(state, () => ({ state: mixer.forward(x, state).state })).state
  seen.push(stateBytes(state))
  console.log(`${name}: ${stateBytes(state)} bytes after ${part * piece} tokens`)
}
disposeState(state)

const same = seen.every((bytes) => bytes === seen[0]) && mixer.stateBytes(parts * piece) === seen.at(-1)
console.log(same ? 'Constant.' : 'NOT CONSTANT.')
process.exit(same ? 0 : 1)
