/** Gives the visitor a file; nothing leaves the machine. */
export function download(name: string, content: BlobPart, type: string): void {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(new Blob([content], { type }))
  link.download = name
  link.click()
  // the browser has taken the file by the next turn
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000)
}
