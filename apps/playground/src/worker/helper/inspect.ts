import { influence } from '@mneme/core-tensor/inspect/influence'
import { stateHistory } from '@mneme/core-tensor/inspect/state-history'
import { idsOf } from '../checkpoint/ids'
import { opened } from '../checkpoint/opened'
import { look, mostTokens } from '../inspect/look'

export type InspectPayload =
  | { readonly about: 'look'; readonly text: string }
  | { readonly about: 'states'; readonly ids: readonly number[] }
  | { readonly about: 'influence'; readonly ids: readonly number[]; readonly positions: readonly number[] }

/** Looks into the checkpoint that is open, as `answers` do into a run. */
export async function help(payload: InspectPayload) {
  const { model, words } = opened()
  switch (payload.about) {
    case 'look':
      return {
        look: await look({ model, vocabulary: words }, idsOf(words, payload.text).slice(0, mostTokens)),
      }
    case 'states':
      return { states: await stateHistory(model, payload.ids) }
    case 'influence':
      return { influence: await influence(model, payload.ids, payload.positions) }
  }
}
