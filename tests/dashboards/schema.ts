// Grafana's own types, made into the types of dashboards as JSON. A generated program assigns each
// dashboard to both: what a type does not know, or knows with other values, does not compile.

import type * as oldest from "grafana-schema-oldest";
import type * as newest from "@grafana/schema";
import type * as stat from "@grafana/schema/dist/types/raw/composable/stat/panelcfg/x/types.gen";
import type * as table from "@grafana/schema/dist/types/raw/composable/table/panelcfg/x/types.gen";
import type * as bargauge from "@grafana/schema/dist/types/raw/composable/bargauge/panelcfg/x/types.gen";
import type * as heatmap from "@grafana/schema/dist/types/raw/composable/heatmap/panelcfg/x/types.gen";
import type * as timeline from "@grafana/schema/dist/types/raw/composable/statetimeline/panelcfg/x/types.gen";
import type * as timeseries from "@grafana/schema/dist/types/raw/composable/timeseries/panelcfg/x/types.gen";

// A type as JSON holds it: an enumeration by its values, and every field may be absent, for Grafana
// has a default for each.
type Json<T> = unknown extends T ? T
  : T extends string ? `${T}`
  : T extends number ? number
  : T extends (infer Item)[] ? Json<Item>[]
  : T extends object ? { [Key in keyof T]?: Json<T[Key]> }
  : T;

// The types of both packages leave these open; here they are what we use of them.
type DataSource = { type: "prometheus"; uid: "${datasource}" };
type Target = {
  datasource: DataSource;
  refId: string;
  expr: string;
  legendFormat: string;
  format?: "table" | "heatmap" | "time_series";
  instant?: boolean;
  range?: boolean;
};
type ValueLink = { title: string; url: string; targetBlank: boolean };
// The first step's value is minus infinity, which JSON writes as null.
type Thresholds = { mode: "absolute"; steps: { color: string; value: number | null }[] };
type Transformation =
  | { id: "merge"; options: {} }
  | {
      id: "organize";
      options: {
        excludeByName: Record<string, boolean>;
        indexByName: Record<string, number>;
        renameByName: Record<string, string>;
      };
    };
type Override<Field, Custom> = {
  matcher: { id: "byName"; options: string };
  properties: { id: (keyof Field & string) | `custom.${keyof Custom & string}`; value: unknown }[];
};

type PanelOf<Base, Field, Type extends string, Options, Custom> =
  Omit<Json<Base>, "type" | "options" | "fieldConfig" | "targets" | "datasource" | "transformations"> & {
    type: Type;
    datasource: DataSource;
    targets: Target[];
    transformations?: Transformation[];
    options: Json<Options>;
    fieldConfig: {
      defaults: Omit<Json<Field>, "custom" | "links" | "thresholds"> & {
        custom?: Json<Custom>;
        links?: ValueLink[];
        thresholds?: Thresholds;
      };
      overrides: Override<Field, Custom>[];
    };
  };

type Row<Base> = Omit<Json<Base>, "panels"> & { type: "row"; panels: [] };

type Variable<Base> = Omit<Json<Base>, "query"> & {
  query: string | { query: string; refId: string };
  allValue?: string;
  current?: { text: string | string[]; value: string | string[] };
  definition?: string;
  includeAll?: boolean;
  multi?: boolean;
  refresh?: 1 | 2;
  regex?: string;
  sort?: number;
};

type Annotation<Base> = Omit<Json<Base>, "target"> & {
  target: { refId: string; expr: string; interval: string };
  expr: string;
  step: string;
  titleFormat: string;
  textFormat: string;
  tagKeys: string;
};

type DashboardOf<Base, VariableBase, AnnotationBase, Panels> =
  Omit<Json<Base>, "panels" | "templating" | "annotations"> & {
    templating: { list: Variable<VariableBase>[] };
    annotations: { list: Annotation<AnnotationBase>[] };
    panels: Panels[];
  };

// 9.4: the package has the parts that panels share; the rest stands here as that server's source has
// it (public/app/plugins/panel/*/models.cue).
type OldPanel<Type extends string, Options, Custom> =
  PanelOf<oldest.Panel, oldest.FieldConfig, Type, Options, Custom>;
type OldHeatmap = {
  calculate: boolean;
  cellGap: number;
  color: {
    mode: "scheme" | "opacity";
    scheme: string;
    scale: "linear" | "exponential";
    exponent: number;
    fill: string;
    reverse: boolean;
    steps: number;
  };
  filterValues: { le: number };
  legend: { show: boolean };
  rowsFrame: { layout: "auto" };
  showValue: oldest.VisibilityMode;
  yAxis: oldest.AxisConfig & { unit: string; reverse: boolean };
};
type OldTimeline = oldest.OptionsWithLegend & oldest.OptionsWithTooltip & {
  mergeValues: boolean;
  showValue: oldest.VisibilityMode;
  alignValue: oldest.TimelineValueAlignment;
  rowHeight: number;
};
type OldStat = oldest.SingleStatBaseOptions & {
  graphMode: oldest.BigValueGraphMode;
  colorMode: oldest.BigValueColorMode;
  justifyMode: oldest.BigValueJustifyMode;
  textMode: oldest.BigValueTextMode;
};
type OldBarGauge = oldest.SingleStatBaseOptions & {
  displayMode: oldest.BarGaugeDisplayMode;
  showUnfilled: boolean;
};
type OldTable = { showHeader: boolean; sortBy: oldest.TableSortByFieldState[] };

export type Oldest = DashboardOf<
  oldest.Dashboard, oldest.VariableModel, oldest.AnnotationQuery,
  | Row<oldest.RowPanel>
  | OldPanel<"timeseries", oldest.OptionsWithLegend & oldest.OptionsWithTooltip, oldest.GraphFieldConfig>
  | OldPanel<"stat", OldStat, {}>
  | OldPanel<"bargauge", OldBarGauge, {}>
  | OldPanel<"table", OldTable, oldest.TableFieldOptions>
  | OldPanel<"heatmap", OldHeatmap, { scaleDistribution: oldest.ScaleDistributionConfig }>
  | OldPanel<"state-timeline", OldTimeline, { lineWidth: number; fillOpacity: number }>
>;

type NewPanel<Type extends string, Options, Custom> =
  PanelOf<newest.Panel, newest.FieldConfig, Type, Options, Custom>;

export type Newest = DashboardOf<
  newest.Dashboard, newest.VariableModel, newest.AnnotationQuery,
  | Row<newest.RowPanel>
  | NewPanel<"timeseries", timeseries.Options, timeseries.FieldConfig>
  | NewPanel<"stat", stat.Options, {}>
  | NewPanel<"bargauge", bargauge.Options, {}>
  | NewPanel<"table", table.Options, table.FieldConfig>
  | NewPanel<"heatmap", heatmap.Options, heatmap.FieldConfig>
  | NewPanel<"state-timeline", timeline.Options, timeline.FieldConfig>
>;
