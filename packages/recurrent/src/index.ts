export * from './conv-mixer.js'
export * from './min-rnn.js'
