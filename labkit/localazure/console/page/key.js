// The reader's key: from the address' fragment or the form, kept in this tab, sent in a header. Never shown.

// One server may hold a whole class, each student under a path of their own.
const STORE = place(location.pathname);

let key = fromFragment() ?? sessionStorage.getItem(STORE) ?? "";

/** The key, an empty text when there is none. */
export function current() {
  return key;
}

/** Use this key from now on; an empty text forgets it. */
export function use(value) {
  key = value;
  if (key) sessionStorage.setItem(STORE, key);
  else sessionStorage.removeItem(STORE);
}

/** Let the page at `pathname` of this server use the same key, when it is opened in this tab. */
export function lend(pathname) {
  sessionStorage.setItem(place(pathname), key);
}

/** Call `changed` when a link with a key is opened in this tab. */
export function watch(changed) {
  addEventListener("hashchange", () => {
    const given = fromFragment();
    if (given === null) return;
    use(given);
    changed();
  });
}

function place(pathname) {
  return `labkit-key:${pathname}`;
}

/** The key in `#key=…`, taken out of the address bar and the history; null when there is none. */
function fromFragment() {
  const given = new URLSearchParams(location.hash.slice(1)).get("key");
  if (given === null) return null;
  history.replaceState(null, "", location.pathname + location.search);
  sessionStorage.setItem(STORE, given);
  return given;
}
