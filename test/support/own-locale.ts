/** The commands speak English to the tests, whatever the language of the person who runs them. A test that wants another names it. */
export default function ownLocale(): void {
  delete process.env.LC_ALL;
  delete process.env.LC_MESSAGES;
  delete process.env.LANGUAGE; // gettext takes it before LANG
  process.env.LANG = 'C.UTF-8';
}
