import { Rng } from '@mneme/core-tensor'
import { describeMemory } from '@mneme/testing'
import { type Golden, goldens, toTensor } from '@mneme/testing/goldens'
import { read, span, within } from '@mneme/testing/subject'
import { expectClose, tolerances } from '@mneme/testing/tolerance'
import type { Tensor } from '@tensorflow/tfjs-core'
import { describe, test } from 'vitest'
import { MemorySlots, type MemorySlotsOptions } from './memory-slots.js'

const base: MemorySlotsOptions = {
  dModel: 6,
  nHeads: 2,
  slots: 3,
  writer: 'gru',
  updates: 1,
  temperature: 1,
  dInner: 8,
}
const variants: Readonly<Record<string, Partial<MemorySlotsOptions>>> = {
  'gated cell': {},
  'gated cell, two rounds': { updates: 2 },
  'biased and normalised': { writer: 'normalised', temperature: 0.25 },
}

for (const [name, variant] of Object.entries(variants)) {
  describeMemory(`MemorySlots: ${name}`, {
    make: (seed) => new MemorySlots({ ...base, ...variant }, new Rng(seed)),
    dModel: base.dModel,
    entry: (h) => ({ h }),
  })
}

/** Our path of each stored name of the writer. */
const paths: Readonly<Record<string, string>> = {
  memory_slots: 'initial',
  'mem_updater.to_q.weight': 'writer.qProj.weight',
  'mem_updater.to_q.bias': 'writer.qProj.bias',
  'mem_updater.to_kv.weight': 'writer.kvProj.weight',
  'mem_updater.to_kv.bias': 'writer.kvProj.bias',
  'mem_updater.to_out.weight': 'writer.oProj.weight',
  'mem_updater.to_out.bias': 'writer.oProj.bias',
  'gru.weight_ih': 'gru.weightIh',
  'gru.weight_hh': 'gru.weightHh',
  'gru.bias_ih': 'gru.biasIh',
  'gru.bias_hh': 'gru.biasHh',
  'mem_ff.fn.norm.weight': 'mlpNorm.weight',
  'mem_ff.fn.norm.bias': 'mlpNorm.bias',
  'mem_ff.fn.fn.net.0.weight': 'mlp.upProj.weight',
  'mem_ff.fn.fn.net.0.bias': 'mlp.upProj.bias',
  'mem_ff.fn.fn.net.2.weight': 'mlp.downProj.weight',
  'mem_ff.fn.fn.net.2.bias': 'mlp.downProj.bias',
}

for (const golden of goldens()) {
  if (golden.name.startsWith('memformer')) describeGolden(golden)
}

function describeGolden(golden: Golden): void {
  describe(`golden ${golden.name}`, () => {
    test('slots after every segment, from what the encoder made of it', async () => {
      await within(async () => {
        const config = golden.json('config') as Readonly<Record<string, number | undefined>>
        const dModel = config.dim as number
        const slots = new MemorySlots(
          {
            dModel,
            nHeads: config.mem_update_attn_heads ?? 8,
            slots: config.num_memory_slots as number,
            writer: 'gru',
            updates: config.num_mem_updates ?? 1,
            temperature: 1,
            dInner: 4 * dModel,
          },
          new Rng(0),
        )
        const stored = [...golden.read('weights')].flatMap(([name, value]) => {
          const path = paths[name]
          return path === undefined ? [] : [[path, value] as const]
        })
        slots.loadStateDict({ ...(await slots.stateDict()), ...Object.fromEntries(stored) })
        const expected = golden.read('expected')
        const enc = toTensor(expected.get('enc') as never)
        const [B, T] = enc.shape as [number, number]
        const segments = [...expected.keys()].filter((name) => name.startsWith('mems.')).length
        let state: Tensor = slots.initialState(B)
        for (let t = 0, s = 0; t < T; s++) {
          const size = Math.min(Math.ceil(T / segments), T - t)
          state = slots.write(state, { h: span(enc, t, size) })
          const wanted = expected.get(`mems.${s}`)?.values as Float32Array
          expectClose(await read(state), wanted, tolerances.forward(), `slots after segment ${s}`)
          t += size
        }
        slots.dispose()
      })
    })
  })
}
