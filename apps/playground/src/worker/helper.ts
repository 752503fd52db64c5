import type { Asked, Told } from '../station'
import { messageOf } from './backend'
import { helpers } from './helper/table'

type Help = (payload: unknown, tell: (part: unknown) => void) => Promise<unknown>

const tell = (told: Told, transfer: Transferable[] = []): void => postMessage(told, { transfer })
let last: Promise<void> = Promise.resolve()

// one after the other, in the order they came: they share a backend
addEventListener('message', ({ data: { id, question, payload } }: MessageEvent<Asked>) => {
  last = last.then(async () => {
    try {
      const { help } = await helpers[question]()
      // payload and help belong together by the types of `Station.ask`, which a message cannot carry
      tell({ id, reply: await (help as Help)(payload, (part) => tell({ id, part })) })
    } catch (error) {
      tell({ id, message: messageOf(error) })
    }
  })
})
