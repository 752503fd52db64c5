import { useEffect, useRef } from 'preact/hooks'

/** Equations, line by line. Their MathML was made by KaTeX when the app was built. */
export function MathLines({
  lines,
  label = 'Equation',
}: {
  readonly lines: readonly string[]
  readonly label?: string
}) {
  const box = useRef<HTMLElement>(null)
  const markup = lines.join('')
  useEffect(() => {
    if (box.current !== null) box.current.innerHTML = markup
  }, [markup])
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: long equations scroll, which a keyboard must be able to do
    <section ref={box} class="equation" tabIndex={0} aria-label={label} />
  )
}
