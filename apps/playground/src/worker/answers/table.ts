/**
 * Every question that the page can ask of a run, by name: `lane.ask('write', { prompt, temperature })`. A new one is a
 * file beside this that exports `answer`, and its line here; its types follow. Loaded when it is first asked.
 */
export const answers = {
  export: () => import('./export'),
  influence: () => import('./influence'),
  look: () => import('./look'),
  states: () => import('./states'),
  beyond: () => import('./beyond'),
  generate: () => import('./generate'),
  write: () => import('./write'),
}
