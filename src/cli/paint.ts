/** Colours of the terminal, or none: only where somebody looks, and never against NO_COLOR (no-color.org). */

const CODES = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  magenta: [35, 39],
  cyan: [36, 39],
} as const;

export type Colour = keyof typeof CODES;
export type Paint = (colour: Colour, text: string) => string;

export interface Screen {
  readonly isTTY: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
}

export function createPaint({ isTTY, env }: Screen): Paint {
  const coloured = isTTY && (env["NO_COLOR"] ?? "") === "" && env["TERM"] !== "dumb";
  if (!coloured) return (_colour, text) => text;
  return (colour, text) => {
    const [on, off] = CODES[colour];
    return `\u001B[${on}m${text}\u001B[${off}m`;
  };
}
