/** Changes with the sources of the kernels. */
declare const __KERNELS__: string

declare module 'virtual:catalogue' {
  const catalogue: import('./experiment/catalogue').Catalogue
  export default catalogue
}

declare module 'virtual:paper-pages' {
  const pages: import('./view/papers/paper-pages').PaperPages
  export default pages
}

declare module 'virtual:lesson-equations' {
  const equations: Readonly<Record<string, readonly string[]>>
  export default equations
}

declare module 'virtual:claims' {
  const claims: readonly import('./experiment/claims').ClaimPreset[]
  export default claims
}
