// Web Mercator with the world as a square of side 1: x from 180° W eastwards, y from north to south.

export const LIMIT = 85.0511;

export const toX = (lon) => (lon + 180) / 360;

export function toY(lat) {
  const sine = Math.sin((Math.max(-LIMIT, Math.min(LIMIT, lat)) * Math.PI) / 180);
  return 0.5 - Math.log((1 + sine) / (1 - sine)) / (4 * Math.PI);
}

/** Longitude from -180 to 180, as files and the server have it. */
export const wrapped = (lon) => (Math.abs(lon) <= 180 ? lon : ((((lon + 180) % 360) + 360) % 360) - 180);

/** Longitude on the turn of the Earth on which a map lies, which may go on beyond 180°. */
export const onTurn = (lon, [west, , east]) => lon + 360 * Math.round(((west + east) / 2 - lon) / 360);

export const toLon = (x) => x * 360 - 180;

export const toLat = (y) => (Math.atan(Math.sinh(Math.PI * (1 - 2 * y))) * 180) / Math.PI;

const RADIUS_KM = 6371.0088;

/** Distance of two places in km on a sphere. */
export function kilometres(lon1, lat1, lon2, lat2) {
  const rad = Math.PI / 180;
  const a =
    Math.sin(((lat2 - lat1) * rad) / 2) ** 2 +
    Math.cos(lat1 * rad) * Math.cos(lat2 * rad) * Math.sin(((lon2 - lon1) * rad) / 2) ** 2;
  return 2 * RADIUS_KM * Math.asin(Math.min(1, Math.sqrt(a)));
}
