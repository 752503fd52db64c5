import {
  Aaren,
  Alibi,
  AReLiT,
  BlockAttention,
  BlockRecurrence,
  BlockwiseAttention,
  Cottention,
  DeltaNet,
  eluFeatures,
  type FeatureMap,
  ForgettingAttention,
  favorFeatures,
  GatedDeltaNet,
  GLA,
  InfiniAttention,
  LandmarkAttention,
  Latte,
  LinearAttention,
  PersistentAttention,
  RecurrentVectors,
  ReLiT,
  RelativeAttention,
  reluFeatures,
  SoftmaxAttention,
  T5Bias,
  taylorFeatures,
} from '@mneme/attention'
import {
  normal,
  parameter,
  RMSNorm,
  type Rng,
  residualStack,
  type SequenceMixer,
  segmentRecurrent,
  silu,
} from '@mneme/core-tensor'
import {
  ArtificialHippocampus,
  AssociativeLayer,
  AssociativeLayers,
  AssociativeMemory,
  CompressiveMemory,
  DeltaCompressor,
  GatedMemoryBank,
  KnnAttention,
  MemoryAsContext,
  MemoryAsGate,
  MemoryAsLayer,
  MemoryPrefix,
  MemoryShift,
  MemoryTokens,
  NeuralMemory,
  PooledNeuralMemory,
  TrailingTokens,
  TuringMemory,
  WindowHops,
} from '@mneme/memory'
import {
  ComplexHGRN,
  ConvMixer,
  DiscreteMamba2,
  GateLoop,
  GRU,
  HGRN,
  HGRN2,
  LMU,
  LRU,
  LSTM,
  Mamba,
  Mamba2,
  MinGRU,
  MinLSTM,
  MLSTM,
  MlstmBlock,
  QRNN,
  ReservoirMemory,
  Retention,
  RGLRU,
  RgLruBlock,
  Rwkv4TimeMix,
  Rwkv5TimeMix,
  Rwkv6TimeMix,
  Rwkv7TimeMix,
  S4D,
  S5,
  SimpleGateLoop,
  SLSTM,
  SRU,
} from '@mneme/recurrent'
import type { PaperKey } from './registry.js'

/** A mixer `dModel` wide, a multiple of 16, with the sizes its authors' small models have. */
export type MakeMixer = (dModel: number, rng: Rng) => SequenceMixer

const chunk = 32
const normEps = 1e-5
/** Four heads over the whole width. */
const headed = (dModel: number) => ({ dModel, nHeads: 4, dHead: dModel / 4 })
const rotaryOf = (dModel: number) => ({ dims: dModel / 4, base: 10000 })
const depth = { layer: 0, nLayers: 1 }

const linear =
  (featureMap: (dHead: number) => FeatureMap): MakeMixer =>
  (dModel, rng) =>
    new LinearAttention({ ...headed(dModel), featureMap: featureMap(dModel / 4), eps: 1e-6, chunk }, rng)

const softmax = (dModel: number, rng: Rng, options: object = {}): SequenceMixer =>
  new SoftmaxAttention({ ...headed(dModel), nKvHeads: 4, window: 0, rotary: rotaryOf(dModel), ...options }, rng)

const gla: MakeMixer = (dModel, rng) =>
  new GLA(
    {
      dModel,
      nHeads: 4,
      nKvHeads: 4,
      expandK: 1,
      expandV: 1,
      gateRank: 16,
      gateTemperature: 16,
      minLogDecay: null,
      convWidth: 4,
      featureMap: null,
      outputGate: true,
      normEps,
      chunk,
    },
    rng,
  )

const deltaNet: MakeMixer = (dModel, rng) =>
  new DeltaNet(
    {
      dModel,
      nHeads: 4,
      expandK: 1,
      expandV: 1,
      convWidth: 4,
      qkActivation: silu,
      qkNorm: 'length',
      learnedBeta: true,
      allowNegEigval: false,
      outputGate: false,
      normEps,
      chunk,
    },
    rng,
  )

const neuralOptions = (dModel: number) => ({
  ...headed(dModel),
  depth: 2,
  expansion: 2,
  innerNorm: false,
  lossReduction: 'sum' as const,
  chunk: 8,
  momentum: true,
  maxLr: 0.03,
  convWidth: 4,
  normEps,
})

const compressive: MakeMixer = (dModel, rng) => {
  const [content, position] = [0, 1].map(() => parameter(normal(rng, [4, dModel / 4], 0.02)))
  return new CompressiveMemory(
    { ...headed(dModel), segment: 16, memory: 16, compressed: 16, rate: 4, compression: 'conv', cut: true },
    { content, position } as ConstructorParameters<typeof CompressiveMemory>[1],
    rng,
  )
}

/** A layer of attention over blocks, and vectors that it reads and rewrites. */
const blockRecurrence: MakeMixer = (dModel, rng) => {
  const sizes = { ...headed(dModel), nKvHeads: 4 }
  const kinds = { similarity: 'cosine', readSimilarity: 'cosine' } as const
  const positions = new T5Bias({ nHeads: 4, buckets: 32, maxDistance: 32 }, rng)
  const mixer = new BlockAttention({ ...sizes, ...kinds, block: 16, strict: false, positions, reads: [0] }, rng)
  const update = { update: 'skip', dInner: dModel, gate: 'fixed', similarity: 'cosine' } as const
  const vectors = new RecurrentVectors({ ...sizes, ...update, vectors: 8, norm: () => new RMSNorm(dModel) }, rng)
  return new BlockRecurrence([{ mixer }], [vectors], { segment: 64, writers: [0], sees: 'window' })
}

/** A layer of attention within segments, with an associative memory that outlasts them. */
const associative: MakeMixer = (dModel, rng) => {
  const memory = new AssociativeMemory({ dModel, dKey: dModel / 4, rolls: 3, correction: true }, rng)
  const stack = residualStack([{ mixer: softmax(dModel, rng) }]) as unknown as SequenceMixer
  const inner = new AssociativeLayers([new AssociativeLayer(memory, stack)]) as unknown as SequenceMixer
  return segmentRecurrent(inner, new TrailingTokens(4, dModel, rng), {
    length: 16,
    backprop: Number.POSITIVE_INFINITY,
  }) as unknown as SequenceMixer
}

/** Every mixer of the attention, recurrent and memory packages, by a name that says its form. */
export const mixers = {
  // attention
  softmax: (dModel, rng) => softmax(dModel, rng),
  'softmax, window 32': (dModel, rng) => softmax(dModel, rng, { window: 32 }),
  'softmax, one key head': (dModel, rng) => softmax(dModel, rng, { nKvHeads: 1 }),
  'softmax, ALiBi': (dModel, rng) => softmax(dModel, rng, { rotary: null, distanceBias: new Alibi(4) }),
  forgetting: (dModel, rng) =>
    new ForgettingAttention(
      {
        ...headed(dModel),
        nKvHeads: 4,
        gate: { from: 'token' },
        rotary: null,
        qkNormEps: null,
        kvShift: false,
        outputNormEps: null,
        outputGate: false,
      },
      rng,
    ),
  'relative, segments of 32': (dModel, rng) => {
    const [content, position] = [0, 1].map(() => parameter(normal(rng, [4, dModel / 4], 0.02)))
    return new RelativeAttention(
      { ...headed(dModel), segment: 32, memory: 32, sameLength: false, clampLength: 0 },
      { content, position } as ConstructorParameters<typeof RelativeAttention>[1],
      rng,
    )
  },
  'block recurrence': blockRecurrence,
  persistent: (dModel, rng) => new PersistentAttention({ ...headed(dModel), span: 64, slots: 32 }, rng),
  landmark: (dModel, rng) =>
    new LandmarkAttention({ ...headed(dModel), block: 8, retrieved: null, rotary: rotaryOf(dModel) }, rng),
  infini: (dModel, rng) =>
    new InfiniAttention(
      {
        ...headed(dModel),
        segment: 32,
        deltaRule: true,
        rotary: rotaryOf(dModel),
        gateOn: 'memory',
        gateFirst: true,
        gateInit: 0,
      },
      rng,
    ),
  'softmax, in blocks': (dModel, rng) =>
    new BlockwiseAttention(
      {
        ...headed(dModel),
        nKvHeads: 4,
        rotary: rotaryOf(dModel),
        schedule: { kind: 'blockwise', queryBlock: 128, keyBlock: 128 },
      },
      rng,
    ),
  'linear, ELU + 1': linear(() => eluFeatures),
  'linear, ReLU': linear(() => reluFeatures),
  'linear, Taylor': linear(() => taylorFeatures),
  'linear, FAVOR+': linear((dHead) => favorFeatures({ dHead, features: 2 * dHead, seed: 0 })),
  gla,
  'delta rule': deltaNet,
  'gated delta rule': (dModel, rng) =>
    new GatedDeltaNet(
      {
        dModel,
        nHeads: 4,
        nVHeads: 4,
        dHead: dModel / 4,
        expandV: 1,
        convWidth: 4,
        outputGate: true,
        allowNegEigval: false,
        normEps,
        chunk,
      },
      rng,
    ),
  aaren: (dModel, rng) => new Aaren({ ...headed(dModel), chunk }, rng),
  latte: (dModel, rng) => new Latte({ dModel, nHeads: 4, slots: dModel, scale: 1, chunk }, rng),
  cottention: (dModel, rng) => new Cottention({ ...headed(dModel), rotary: null, chunk }, rng),
  relit: (dModel, rng) => new ReLiT({ ...headed(dModel), expansion: 2 }, rng),
  arelit: (dModel, rng) => new AReLiT({ ...headed(dModel), expansion: 4, components: 7, spectrum: 'full' }, rng),
  // recurrent
  lstm: (dModel, rng) => new LSTM({ dModel, dHidden: dModel, forgetBias: 1 }, rng),
  gru: (dModel, rng) => new GRU({ dModel, dHidden: dModel }, rng),
  qrnn: (dModel, rng) => new QRNN({ dModel, width: 2, pooling: 'fo' }, rng),
  sru: (dModel, rng) => new SRU({ dModel, activation: 'none', highwayBias: 0, peephole: false }, rng),
  'sru, peepholes': (dModel, rng) => new SRU({ dModel, activation: 'none', highwayBias: 0, peephole: true }, rng),
  'min-gru': (dModel, rng) => new MinGRU({ dModel, expansion: 1.5, h0: 'zero' }, rng),
  'min-lstm': (dModel, rng) => new MinLSTM({ dModel, expansion: 1.5, h0: 'zero' }, rng),
  hgrn: (dModel, rng) => new HGRN({ dModel, bound: null, convWidth: 0, normEps }, rng),
  'hgrn, complex': (dModel, rng) => new ComplexHGRN({ dModel, bound: null, normEps }, rng),
  hgrn2: (dModel, rng) => new HGRN2({ dModel, expansion: dModel / 4, bound: null, convWidth: 0, normEps, chunk }, rng),
  'rg-lru': (dModel, rng) => new RGLRU({ dModel, nHeads: 4 }, rng),
  'rg-lru block': (dModel, rng) => new RgLruBlock({ dModel, dInner: dModel, nHeads: 4, convWidth: 4 }, rng),
  gateloop: (dModel, rng) =>
    new GateLoop(
      {
        dModel,
        dInner: dModel,
        nHeads: 4,
        transition: 'complex',
        outputGate: true,
        subNorm: false,
        gateGradient: 1,
        chunk,
      },
      rng,
    ),
  'simple gateloop': (dModel, rng) => new SimpleGateLoop({ dModel, postNorm: false }, rng),
  lru: (dModel, rng) => new LRU({ dModel, dState: dModel, rMin: 0.5, rMax: 0.99, maxPhase: 6.28, mixing: 'glu' }, rng),
  s4d: (dModel, rng) => new S4D({ dModel, dState: 16, frequencies: 'lin', mixing: 'glu' }, rng),
  s5: (dModel, rng) => new S5({ dModel, dState: dModel, blocks: 1, clipRates: false, mixing: 'glu' }, rng),
  mamba: (dModel, rng) =>
    new Mamba(
      { dModel, dInner: 2 * dModel, dState: 16, dtRank: Math.ceil(dModel / 16), convWidth: 4, convBias: true },
      rng,
    ),
  mamba2: (dModel, rng) =>
    new Mamba2(
      {
        dModel,
        nHeads: 8,
        dHead: dModel / 4,
        dState: 16,
        nGroups: 1,
        convWidth: 4,
        convBias: true,
        stepLimit: [0, Number.POSITIVE_INFINITY],
        normEps,
        normGroups: 1,
        chunk,
      },
      rng,
    ),
  'mamba2, without steps': (dModel, rng) =>
    new DiscreteMamba2(
      {
        dModel,
        nHeads: 4,
        dHead: dModel / 4,
        dState: 16,
        nGroups: 4,
        convWidth: 4,
        convBias: true,
        activation: 'identity',
        chunk,
      },
      rng,
    ),
  rwkv4: (dModel, rng) => new Rwkv4TimeMix({ dModel, dInner: dModel, ...depth }, rng),
  rwkv5: (dModel, rng) => new Rwkv5TimeMix({ dModel, nHeads: 4, normEps, chunk, ...depth }, rng),
  rwkv6: (dModel, rng) =>
    new Rwkv6TimeMix({ dModel, nHeads: 4, expandK: 1, shiftRank: 8, decayRank: 16, normEps, chunk, ...depth }, rng),
  rwkv7: (dModel, rng) =>
    new Rwkv7TimeMix(
      { dModel, nHeads: 4, dValue: dModel, ranks: { w: 16, a: 16, v: 8, g: 16 }, normEps: 64e-5, chunk, ...depth },
      rng,
    ),
  slstm: (dModel, rng) => new SLSTM({ dModel, nHeads: 4, convWidth: 4, depth: 0, normEps }, rng),
  mlstm: (dModel, rng) =>
    new MLSTM(
      { dModel, nHeads: 4, expandK: 1, expandV: 1, gateCap: 15, inputGateBias: -10, eps: 1e-6, normEps, chunk },
      rng,
    ),
  'mlstm block': (dModel, rng) =>
    new MlstmBlock(
      { dModel, dInner: 2 * dModel, nHeads: 4, convWidth: 4, mapBlock: 4, bias: false, eps: 1e-6, normEps, chunk },
      rng,
    ),
  retention: (dModel, rng) =>
    new Retention({ dModel, nHeads: 4, expandK: 1, expandV: 2, ropeBase: 10000, normEps, chunk }, rng),
  lmu: (dModel, rng) => new LMU({ dModel, dHidden: dModel, dMemory: 8, window: 16 }, rng),
  'convolution, width 8': (dModel, rng) => new ConvMixer(dModel, 8, rng),
  reservoir: (dModel, rng) =>
    new ReservoirMemory(
      {
        dModel,
        dReservoir: 4 * dModel,
        dReadout: 2 * dModel,
        leak: 0.3,
        spectralRadius: 0.9,
        density: 0.1,
        inputScale: 0.5,
        normEps,
        backprop: true,
      },
      rng,
    ),
  // memory
  'neural memory': (dModel, rng) => new NeuralMemory(neuralOptions(dModel), rng),
  'memory as context': (dModel, rng) =>
    new MemoryAsContext(
      new NeuralMemory(neuralOptions(dModel), rng),
      { ...headed(dModel), segment: 16, persistent: 4, ropeBase: 10000, normEps },
      rng,
    ),
  'memory as gate': (dModel, rng) =>
    new MemoryAsGate(new NeuralMemory(neuralOptions(dModel), rng), softmax(dModel, rng, { window: 16 }), {
      dModel,
      normEps,
    }),
  'memory as layer': (dModel, rng) =>
    new MemoryAsLayer(new NeuralMemory(neuralOptions(dModel), rng), softmax(dModel, rng, { window: 16 }), dModel),
  'pooled neural memory': (dModel, rng) =>
    new PooledNeuralMemory(
      {
        ...headed(dModel),
        depth: 2,
        expansion: 2,
        innerNorm: false,
        chunk: 4,
        refresh: 0,
        momentum: true,
        maxLr: 0.03,
        maxGradNorm: 0,
        qkNorm: false,
        readNorm: false,
        transitionGate: false,
        weightResidual: false,
      },
      rng,
    ),
  'artificial hippocampus': (dModel, rng) =>
    new ArtificialHippocampus(
      new DeltaCompressor({ ...headed(dModel), decay: true, normEps, chunk }, rng),
      { ...headed(dModel), nKvHeads: 4, window: 32, sinks: 4, rotary: rotaryOf(dModel) },
      rng,
    ),
  compressive,
  'memory shift, two layers': (dModel, rng) =>
    new MemoryShift(residualStack([0, 1].map(() => ({ mixer: compressive(dModel, rng) }))), {
      dModel,
      segment: 16,
      layers: [0, 1],
    }),
  'memory tokens': (dModel, rng) =>
    segmentRecurrent(residualStack([{ mixer: softmax(dModel, rng) }]), new MemoryTokens(4, dModel, rng), {
      length: 16,
      backprop: Number.POSITIVE_INFINITY,
    }),
  'associative layers': associative,
  'memory prefix': (dModel, rng) =>
    new MemoryPrefix(new MinGRU({ dModel, expansion: 1.5, h0: 'zero' }, rng), softmax(dModel, rng), {
      dModel,
      segment: 16,
    }),
  'memory bank': (dModel, rng) => new GatedMemoryBank({ dModel, nHeads: 4, slots: 16, form: 'code' }, rng),
  'nearest neighbours': (dModel, rng) =>
    new KnnAttention(
      { ...headed(dModel), segment: 16, window: 16, capacity: 4096, neighbours: 16, temperature: 20 },
      rng,
    ),
  'memory hops': (dModel, rng) =>
    new WindowHops({ dModel, hops: 2, slots: 16, tying: 'layerwise', query: 'token', halfRelu: true }, rng),
  'turing memory': (dModel, rng) => new TuringMemory({ dModel, rows: 32, dRow: 16, addressing: 'content' }, rng),
} satisfies Record<string, (dModel: number, rng: Rng) => unknown> as unknown as Readonly<Record<string, MakeMixer>>

/**
 * Mechanisms that are no mixer by themselves, and the papers whose models stand for them: slots are read by an encoder
 * that sees a whole segment, and written what it made of it.
 */
export const mechanismsInPapers: Readonly<Record<string, PaperKey>> = { 'memory slots': 'memformer' }
