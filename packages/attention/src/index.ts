export * from './gated-delta-net.js'
export * from './relative-attention.js'
export * from './softmax-attention.js'
