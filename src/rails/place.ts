import { pathText, type Step } from "../codec/path.ts";
import { ValueError } from "../errors.ts";

/** Where a value lies: a root such as `data`, or a step from another place. Its text is made for an error only. */
export type Place = string | { readonly within: Place; readonly step: Step };

/** The text of a place, as the codec writes paths: `data.cart[3].price`. */
export function placeText(place: Place): string {
  const steps: Step[] = [];
  let at = place;
  while (typeof at !== "string") {
    steps.push(at.step);
    at = at.within;
  }
  return pathText(at, steps.toReversed());
}

export function within(path: Place, step: Step): Place {
  return { within: path, step };
}

export function refusal(place: Place, message: string, options?: ErrorOptions): ValueError {
  const path = placeText(place);
  return new ValueError(path, `${path} ${message}`, options);
}
