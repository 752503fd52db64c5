import type { ComponentChildren } from 'preact'

interface Props {
  readonly label: string
  readonly class?: string
  readonly children?: ComponentChildren
}

/** A part of the page that scrolls by itself, and so can be reached with the keyboard. */
export function Scrolled({ label, class: name = 'scrolled', children }: Props) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: without it, only a mouse could scroll
    <section class={name} tabIndex={0} aria-label={label}>
      {children}
    </section>
  )
}
