/** What a worker without a run can be asked, each in a file beside this that exports `help`. Loaded when it is asked. */
export const helpers = {
  device: () => import('./device'),
  lesson: () => import('./lesson'),
  tiny: () => import('./tiny'),
}
