/** The floor: a child that sends back each line of JSON that it gets. */
let rest = "";
process.stdin.setEncoding("utf8").on("data", (text) => {
  const lines = (rest + text).split("\n");
  rest = lines.pop();
  let out = "";
  for (const line of lines) {
    const { id, text: echoed } = JSON.parse(line);
    out += `${JSON.stringify({ id, text: echoed })}\n`;
  }
  process.stdout.write(out);
});
