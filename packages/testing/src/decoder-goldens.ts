import {
  Embedding,
  fromStored,
  LanguageModel,
  Linear,
  type NamedTensor,
  type NameRule,
  nextTokenLoss,
  RMSNorm,
  Rng,
  residualStack,
  type SequenceMixer,
  type StoredName,
  SwiGLU,
  storedNames,
  valueAndGrads,
} from '@mneme/core-tensor'
import { slice, zeros } from '@tensorflow/tfjs-core'
import { describe, test } from 'vitest'
import { type Golden, type GoldenTensor, toTensor } from './goldens.js'
import { inPieces, read, type Sequence, within } from './subject.js'
import { expectClose, tolerances } from './tolerance.js'

/** How a family of decoders names what stands around its mixers. */
export interface DecoderNames {
  readonly embedding: string
  readonly mixerNorm: string
  readonly mlpNorm: string
}

export const flaNames: DecoderNames = { embedding: 'embeddings', mixerNorm: 'attn_norm', mlpNorm: 'mlp_norm' }
export const llamaNames: DecoderNames = {
  embedding: 'embed_tokens',
  mixerNorm: 'input_layernorm',
  mlpNorm: 'post_attention_layernorm',
}

export interface DecoderMixer {
  readonly mixer: (rng: Rng) => SequenceMixer
  /** Places of the parameters of a mixer, below those of their layer. */
  readonly rules: readonly NameRule[]
  readonly normEps: number
}

export interface GoldenDecoder {
  readonly model: LanguageModel
  /** Stored names by path. */
  readonly names: ReadonlyMap<string, StoredName>
}

/** The decoder of a golden around a mixer, with the weights of the file: RMSNorm before each part, SwiGLU, no biases. */
export function goldenDecoder(
  golden: Golden,
  names: DecoderNames,
  { mixer, rules, normEps }: DecoderMixer,
): GoldenDecoder {
  const config = golden.json('config')
  const stored = golden.read('model')
  const [dModel, vocabulary, layers] = [config.hidden_size, config.vocab_size, config.num_hidden_layers].map(
    Number,
  ) as [number, number, number]
  const [dInner] = (stored.get('model.layers.0.mlp.up_proj.weight') as GoldenTensor).shape as [number]
  const rng = new Rng(0)
  const model = new LanguageModel({
    embedding: new Embedding(vocabulary, dModel, rng, 1),
    body: residualStack(
      Array.from({ length: layers }, () => ({
        mixerNorm: new RMSNorm(dModel, normEps),
        mixer: mixer(rng),
        mlpNorm: new RMSNorm(dModel, normEps),
        mlp: new SwiGLU(dModel, dInner, rng),
      })),
    ),
    norm: new RMSNorm(dModel, normEps),
    head: config.tie_word_embeddings ? null : new Linear(dModel, vocabulary, rng, { bias: false }),
  })
  const inLayer = (path: string, name: string, rest: Partial<NameRule> = {}): NameRule => ({
    ...rest,
    path: `body.layers.{i}.${path}`,
    name: `model.layers.{i}.${name}`,
  })
  const all: NameRule[] = [
    { path: 'embedding.weight', name: `model.${names.embedding}.weight` },
    inLayer('mixerNorm.weight', `${names.mixerNorm}.weight`),
    inLayer('mlpNorm.weight', `${names.mlpNorm}.weight`),
    ...['gate', 'up', 'down'].map((p) => inLayer(`mlp.${p}Proj.weight`, `mlp.${p}_proj.weight`)),
    ...rules.map((rule) => inLayer(`mixer.${rule.path}`, rule.name, rule)),
    { path: 'norm.weight', name: 'model.norm.weight' },
    { path: 'head.weight', name: 'lm_head.weight' },
  ]
  const places = storedNames(
    Array.from(model.namedParameters(), ([path]) => path),
    all,
  )
  const values = Array.from(places, ([path, { name, rule }]): [string, NamedTensor] => {
    const found = stored.get(name)
    if (found === undefined) throw new Error(`${golden.name}: expected a tensor '${name}', got none.`)
    return [path, fromStored(found as NamedTensor, rule)]
  })
  model.loadStateDict(Object.fromEntries(values))
  return { model, names: places }
}

/** Holds a decoder to its golden: scores whole, in pieces and token by token, and the gradients of every parameter. */
export function describeDecoder(golden: Golden, load: () => GoldenDecoder): void {
  describe(`golden ${golden.name}`, () => {
    const expected = golden.read('expected')
    const value = (name: string): GoldenTensor => expected.get(name) as GoldenTensor

    test('scores: whole, in pieces, token by token', async () => {
      await within(async () => {
        const { model } = load()
        const ids = toTensor(value('input_ids'))
        const T = ids.shape[1] as number
        const limit = Math.max(tolerances.forward(), 2e-5)
        for (const sizes of [[T], [7, 1, T - 8], Array<number>(T).fill(1)]) {
          const { y } = inPieces(model as unknown as Sequence, ids, sizes)
          expectClose(await read(y), value('logits').values, limit, `scores in ${sizes.length} pieces`)
        }
        model.dispose()
      })
    })

    test('gradients of every parameter', async () => {
      await within(async () => {
        const { model, names } = load()
        const ids = toTensor(value('input_ids'))
        const [B, T] = ids.shape as [number, number]
        const parameters = [...model.namedParameters()]
        const { value: loss, grads } = valueAndGrads(
          () => {
            const { y } = model.forward(ids)
            return nextTokenLoss(slice(y, [0, 0, 0], [B, T - 1, -1]), slice(ids, [0, 1], [B, T - 1])).loss
          },
          parameters.map(([, v]) => v),
        )
        expectClose(await read(loss), value('loss').values, 1e-5, 'loss')
        const stored = golden.read('grads')
        for (const [i, [path, v]] of parameters.entries()) {
          const wanted = stored.get(names.get(path)?.name as string) as GoldenTensor
          expectClose(await read(grads[i] ?? zeros(v.shape)), wanted.values, tolerances.gradient(), path)
        }
        model.dispose()
      })
    })
  })
}
