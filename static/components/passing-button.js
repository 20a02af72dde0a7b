import { focusComposer, useFocusPassedOn } from "./composer-focus.js";
import { html } from "./html.js";

/**
 * A button that goes when it has been used, or by itself: what is typed next belongs into the composer.
 * @param {{onClick: () => void, children?: any} & Record<string, any>} props
 */
export function PassingButton({ onClick, children, ...rest }) {
  const button = useFocusPassedOn();
  const use = () => {
    onClick();
    focusComposer();
  };
  return html`<button type="button" ref=${button} ...${rest} onClick=${use}>${children}</button>`;
}
