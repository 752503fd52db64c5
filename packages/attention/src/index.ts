export * from './gated-delta-net.js'
export * from './softmax-attention.js'
