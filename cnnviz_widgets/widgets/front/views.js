/** What a front end without a state of its own exports: a link for each model, a view for each place on the page. */

import { Link } from "./link.js";

/**
 * @param {string[]} traits that a view wants to hear of
 * @param {new (model, el, link: Link) => { changed(trait: string): void, destroy(): void }} View hears "silent", too
 * @returns the default export; anywidget calls it once for each model
 */
export const viewsOf = (traits, View) => () => {
  const views = new Set();
  let link = null;
  return {
    initialize({ model }) {
      const changed = (trait) => views.forEach((view) => view.changed(trait));
      const handlers = traits.map((trait) => [`change:${trait}`, () => changed(trait)]);
      for (const [event, handler] of handlers) model.on(event, handler);
      link = new Link(model, () => changed("silent"));
      link.say({ type: "hello" });
      return () => {
        link.close();
        for (const [event, handler] of handlers) model.off(event, handler);
      };
    },
    render({ model, el }) {
      const view = new View(model, el, link);
      views.add(view);
      return () => {
        views.delete(view);
        view.destroy();
      };
    },
  };
};
