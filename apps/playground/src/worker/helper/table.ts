/** What a worker without a run can be asked, each in a file beside this that exports `help`. Loaded when it is asked. */
export const helpers = {
  continue: () => import('./continue'),
  device: () => import('./device'),
  inspect: () => import('./inspect'),
  lesson: () => import('./lesson'),
  open: () => import('./open'),
  tiny: () => import('./tiny'),
}
