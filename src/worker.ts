/** The Worker: its handler and its objects, composed from the workflows of this deployment. */

import { compose } from "./compose.ts";
import { WiredRunObject } from "./run/index.ts";
import { workflows } from "./workflows/index.ts";

const house = compose(workflows);

export class RunObject extends WiredRunObject {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, house.wiring(env));
  }
}

export default { fetch: house.fetch } satisfies ExportedHandler<Env>;
