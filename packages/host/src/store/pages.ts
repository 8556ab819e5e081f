/** Rows that cross the thread border at once: few enough that neither side needs much memory for them. */
const PAGE_ROWS = 100;

/** Reads all rows page by page; while one is converted, the next is on its way. `read` answers with rows behind `last`, in order. */
export async function allPages<Row, T>(
  read: (last: Row | undefined, limit: number) => Promise<readonly Row[]>,
  convert: (row: Row) => T,
): Promise<readonly T[]> {
  const all: T[] = [];
  let page = await read(undefined, PAGE_ROWS);
  while (page.length > 0) {
    const next = page.length === PAGE_ROWS ? read(page.at(-1), PAGE_ROWS) : undefined;
    for (const row of page) all.push(convert(row));
    page = (await next) ?? [];
  }
  return all;
}
