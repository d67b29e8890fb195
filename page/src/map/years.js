// The years of a run, and beside them the run's own map, whose year is null here and "all" in addresses.
import { t } from "../shared/language.js";

const OWN = "all";

/** The part of an address that names a year. */
export const keyOf = (year) => year ?? OWN;

/** The year of such a part: a year of the run, null for its own map, undefined for anything else. */
export function yearOf(key, run) {
  if (key === OWN) return null;
  return run.years?.find((one) => String(one) === key);
}

/** What readers call it. */
export const yearName = (year) => (year === null ? t("year.own") : String(year));
