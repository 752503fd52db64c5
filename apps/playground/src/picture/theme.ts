import { signal } from '@preact/signals'
import type { Theme } from './scale'

const dark = matchMedia('(prefers-color-scheme: dark)')

/** Which of the two sets of colours is shown. */
export const theme = signal<Theme>(dark.matches ? 'dark' : 'light')

dark.addEventListener('change', () => {
  theme.value = dark.matches ? 'dark' : 'light'
})
