import { pathText, type Step } from "../codec/path.ts";
import { ValueError } from "../errors.ts";

/**
 * The position of a value: a root such as `data`, or a step from another position. Converted to text only for an error.
 */
export type Place = string | { readonly within: Place; readonly step: Step };

/** Formats a position like the codec's paths: `data.cart[3].price`. */
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
