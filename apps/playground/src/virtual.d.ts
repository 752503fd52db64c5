declare module 'virtual:catalogue' {
  const catalogue: import('./experiment/catalogue').Catalogue
  export default catalogue
}
