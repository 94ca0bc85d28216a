/** The workflows of this deployment. Add yours to the list. A changed graph is a new version; keep the old one listed
 * until its runs are over. */

import { askClaude } from "./ask-claude.ts";
import { bookTrip } from "./book-trip.ts";
import { processOrder } from "./process-order.ts";

export const workflows = [askClaude, bookTrip, processOrder] as const;
