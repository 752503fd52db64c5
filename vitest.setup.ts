import { ready, setBackend } from '@tensorflow/tfjs-core'
import '@tensorflow/tfjs-backend-cpu'

// the project a file runs in decides the backend; one process serves one backend
const backend = process.env.MNEME_BACKEND ?? 'cpu'
if (backend === 'wasm') {
  const { useWasm } = await import('@mneme/kernels-wasm')
  await useWasm()
} else if (backend === 'webgpu') {
  const { useWebGPU } = await import('@mneme/kernels-webgpu/node')
  await useWebGPU({ allowSoftware: true })
} else {
  await setBackend(backend)
  await ready()
}
