/** Dates and times of day: one form for each, however it is written. What can be read in two ways stays as it stands. */

/** Month names and their usual short forms in en, de, fr, es, it, pt, nl and ru (as they stand in a date). */
const MONTHS = [
  "january jan januar jänner janvier enero gennaio janeiro januari январь января",
  "february feb februar février fevrier febrero febbraio fevereiro februari февраль февраля",
  "march mar märz mars marzo março marco maart март марта",
  "april apr avril abril aprile апрель апреля",
  "may mai mayo maggio maio mei май мая",
  "june jun juni juin junio giugno junho июнь июня",
  "july jul juli juillet julio luglio julho июль июля",
  "august aug août aout agosto augustus август августа",
  "september sep sept septembre septiembre settembre setembro сентябрь сентября",
  "october oct oktober octobre octubre ottobre outubro октябрь октября",
  "november nov novembre noviembre novembro ноябрь ноября",
  "december dec dezember dez décembre decembre diciembre dicembre dezembro декабрь декабря",
].map((names) => names.split(" "));

const MONTH_OF = new Map(MONTHS.flatMap((names, index) => names.map((name) => [name, index + 1] as const)));
const MONTH = `(${[...MONTH_OF.keys()].join("|")})(?!\\p{L})\\.?`;
const DAY = "(\\d{1,2})(?:st|nd|rd|th|er|º|ª|\\.)?";
/** A year of one or two digits needs its era: May 12 is a day, 44 BC is a year. */
const YEAR = "(\\d{3,4}|\\d{1,2}(?=\\s?(?:bc|b\\.c|v\\.|av\\.|a\\.|ad|ce|до)))";
const OF = "(?:\\s(?:of|de|del|di|do|dell'))?";
const ERA =
  "(?:\\s?(bce?|b\\.c\\.(?:e\\.)?|v\\.\\s?chr\\.?|av\\.\\s?j\\.-c\\.?|a\\.\\s?c\\.|до н\\. ?э\\.)|\\s?(?:ad|ce|a\\.d\\.|г\\.?|года))?";
const BEFORE =
  /^(?:(?:on|am|le|el|il|op|den|the|em|no dia|в)\s)?(?:(?:mon|tues|wednes|thurs|fri|satur|sun)day,?\s|(?:montag|dienstag|mittwoch|donnerstag|freitag|samstag|sonntag),?\s(?:den\s)?)?(?:the\s)?/u;

const DAY_FIRST = new RegExp(`^${DAY}${OF}\\s${MONTH}(?:,|${OF})\\s${YEAR}${ERA}$`, "u");
const MONTH_FIRST = new RegExp(`^${MONTH}\\s${DAY}(?:,\\s?|\\s)${YEAR}${ERA}$`, "u");
const NO_YEAR = new RegExp(`^(?:${DAY}${OF}\\s${MONTH}|${MONTH}\\s${DAY})$`, "u");
const NO_DAY = new RegExp(`^${MONTH}(?:,|${OF})\\s${YEAR}${ERA}$`, "u");
const BIG_ENDIAN = /^(\d{4})([-/.])(\d{1,2})\2(\d{1,2})$/;
const EASTERN = /^(\d{3,4})年(\d{1,2})月(\d{1,2})日$/u;
/** Points say day first; slashes and hyphens say nothing, unless one of the two can be no month. */
const SHORT = /^(\d{1,2})([./-])(\d{1,2})\2(\d{4})$/;
const TWELVE_HOURS = /^(\d{1,2})(?:[:.](\d{2}))?\s?([ap])\.?\s?m\.?$/;

const two = (part: number) => String(part).padStart(2, "0");

function dateOf(year: string, month: number, day: number, before = false): string | undefined {
  if (month < 1 || month > 12 || day < 1 || day > 31) return undefined;
  return `${before ? "-" : ""}${year.padStart(4, "0")}-${two(month)}-${two(day)}`;
}

function monthOf(name: string | undefined): number {
  return MONTH_OF.get(name ?? "") ?? 0;
}

function named(text: string): string | undefined {
  const first = DAY_FIRST.exec(text);
  if (first !== null) return dateOf(first[3] ?? "", monthOf(first[2]), Number(first[1]), first[4] !== undefined);
  const second = MONTH_FIRST.exec(text);
  if (second !== null) return dateOf(second[3] ?? "", monthOf(second[1]), Number(second[2]), second[4] !== undefined);
  const yearless = NO_YEAR.exec(text);
  if (yearless !== null) return dateOf("", monthOf(yearless[2] ?? yearless[3]), Number(yearless[1] ?? yearless[4]))?.replace(/^0000/, "-");
  const dayless = NO_DAY.exec(text);
  return dayless === null ? undefined : `${dayless[3] === undefined ? "" : "-"}${dayless[2]?.padStart(4, "0")}-${two(monthOf(dayless[1]))}`;
}

function numeric(text: string): string | undefined {
  const big = BIG_ENDIAN.exec(text);
  if (big !== null) return dateOf(big[1] ?? "", Number(big[3]), Number(big[4]));
  const eastern = EASTERN.exec(text);
  if (eastern !== null) return dateOf(eastern[1] ?? "", Number(eastern[2]), Number(eastern[3]));
  const short = SHORT.exec(text);
  if (short === null) return undefined;
  const [one, other, year] = [Number(short[1]), Number(short[3]), short[4] ?? ""];
  if (short[2] === "." || one > 12 || one === other) return dateOf(year, other, one);
  return other > 12 ? dateOf(year, one, other) : `${one}/${other}/${year}`;
}

function timeOf(text: string): string | undefined {
  const found = TWELVE_HOURS.exec(text);
  const hours = Number(found?.[1]);
  if (found === null || hours < 1 || hours > 12) return undefined;
  return `${two((hours % 12) + (found[3] === "p" ? 12 : 0))}:${found[2] ?? "00"}`;
}

/** Longer texts are no date. */
const LONGEST = 60;

/**
 * The one form of a text that is a date or a time of day and nothing else: 2024-05-01, --05-01 without a year, 2024-05 without a day, 17:00
 * for "5 pm". 5/1/2024 may be May or January, so it equals only itself.
 */
export function dateKey(text: string): string | undefined {
  if (text.length > LONGEST || !/\d/.test(text)) return undefined;
  const lower = text.trim().toLowerCase().replace(/\s+/g, " ");
  const bare = lower.replace(BEFORE, "").replace(/(?<=\d|\p{L}{3})\.$/u, "");
  return numeric(bare) ?? named(bare) ?? timeOf(bare) ?? timeOf(lower);
}
