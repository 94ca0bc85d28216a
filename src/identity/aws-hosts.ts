/**
 * Regions of AWS, and what a signature for one of its hosts is made for, where the name of the host says so. Pure.
 * https://docs.aws.amazon.com/general/latest/gr/rande.html
 */

const REGION = "[a-z]{2,4}(?:-[a-z]{2,12}){1,3}-\\d{1,2}";
const WHOLE_REGION = new RegExp(`^${REGION}$`);
const PARTITIONS: readonly (readonly [string, string])[] = [
  ["cn-", "aws-cn"],
  ["us-gov-", "aws-us-gov"],
  ["eusc-", "aws-eusc"],
];
const SUFFIX = "amazonaws\\.(?:com(?:\\.cn)?|eu)";
const S3 = new RegExp(`^(?:[a-z0-9.-]+\\.)?s3(?:\\.dualstack)?[.-](${REGION})\\.${SUFFIX}$`);
const GATEWAY = new RegExp(`^[a-z0-9]+\\.execute-api\\.(${REGION})\\.${SUFFIX}$`);
const FUNCTION_URL = new RegExp(`^[a-z0-9]+\\.lambda-url\\.(${REGION})\\.on\\.aws$`);
const PLAIN = new RegExp(`^([a-z0-9-]+)\\.(${REGION})\\.${SUFFIX}$`);

/** Hosts whose first label is not the name that their signatures are made for. */
const SIGNED_AS: Readonly<Record<string, string>> = {
  "bedrock-runtime": "bedrock",
  "bedrock-agent-runtime": "bedrock",
  email: "ses",
  "streams-dynamodb": "dynamodb",
  "data-ats": "iotdata",
};

export function isAwsRegion(text: string): boolean {
  return WHOLE_REGION.test(text);
}

/** As ARNs name it: what is of one partition is not known in another. */
export function partitionOf(region: string): string {
  return PARTITIONS.find(([start]) => region.startsWith(start))?.[1] ?? "aws";
}

/** Null: whoever makes the role has to say. */
export function awsEndpointOf(host: string): { readonly service: string; readonly region: string } | null {
  for (const [pattern, service] of [
    [S3, "s3"],
    [GATEWAY, "execute-api"],
    [FUNCTION_URL, "lambda"],
  ] as const) {
    const [, region] = pattern.exec(host) ?? [];
    if (region !== undefined) return { service, region };
  }
  const [, first, region] = PLAIN.exec(host) ?? [];
  if (first === undefined || region === undefined) return null;
  return { service: SIGNED_AS[first] ?? first, region };
}
