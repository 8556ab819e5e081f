/** The part of papaparse that is used here. */
declare module "papaparse" {
  interface ParseError {
    readonly message: string;
    readonly row?: number;
  }
  interface ParseResult<Row> {
    readonly data: readonly Row[];
    readonly errors: readonly ParseError[];
    readonly meta: { readonly fields?: readonly string[] };
  }
  const Papa: { parse<Row>(text: string, options: { header: true; skipEmptyLines: "greedy" }): ParseResult<Row> };
  export default Papa;
}
