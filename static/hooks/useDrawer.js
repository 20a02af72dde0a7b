import { useEffect, useRef, useState } from "preact/hooks";

const NARROW = matchMedia("(max-width: 46rem)"); // as layout.css has it

/**
 * Where the window is narrow, the list of chats is a drawer over the conversation.
 * @param {string} opener the id of what opens it, which has the focus again when it is closed
 */
export function useDrawer(opener) {
  const [isOpen, setOpen] = useState(false);
  const wanted = useRef("");

  /** @param {string} id of what is to have the focus in it */
  const open = (id) => {
    wanted.current = id;
    if (NARROW.matches) setOpen(true);
    else document.getElementById(id)?.focus();
  };

  useEffect(() => {
    if (!isOpen) return;
    document.getElementById(wanted.current)?.focus();
    const onChange = () => setOpen(false);
    NARROW.addEventListener("change", onChange);
    return () => {
      NARROW.removeEventListener("change", onChange);
      document.getElementById(opener)?.focus();
    };
  }, [isOpen]);
  return { isOpen, open, close: () => setOpen(false) };
}
