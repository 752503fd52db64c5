import { useEffect, useState } from 'preact/hooks'

/** What was answered, or why not; null while it is not known. */
export type Answer<T> = { readonly value: T } | { readonly problem: string } | null

/** Asks whenever what is asked about changes. An answer that comes after the next question is not shown. */
export function useAnswer<T>(ask: () => Promise<T>, about: readonly unknown[]): Answer<T> {
  const [answer, setAnswer] = useState<Answer<T>>(null)
  useEffect(() => {
    let wanted = true
    setAnswer(null)
    ask().then(
      (value) => wanted && setAnswer({ value }),
      (error: Error) => wanted && setAnswer({ problem: error.message }),
    )
    return () => {
      wanted = false
    }
  }, about)
  return answer
}
