import type { Recipe } from '@mneme/core-tensor'

/** Norms, biases, embeddings and other vectors are not pulled towards zero. */
export const vectors: NonNullable<Recipe['groups']>[number] = {
  match: /(^|\.)(embedding|[a-zA-Z]*[nN]orm)\.|\.bias$|\.(logRate|rateBias)$/,
  weightDecay: 0,
}
