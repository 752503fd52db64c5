import { expect, vi } from 'vitest'

/** What a command writes to standard output on its way to exit code 0. */
export async function printed(run: () => Promise<number>): Promise<string> {
  let text = ''
  const write = vi.spyOn(process.stdout, 'write').mockImplementation((piece) => {
    text += piece
    return true
  })
  try {
    expect(await run()).toBe(0)
  } finally {
    write.mockRestore()
  }
  return text
}
