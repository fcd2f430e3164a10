#version 300 es
// A pixel of a splat, premultiplied; colours are sRGB-encoded and blended as they are.
precision highp float;

const float ALPHA_MIN = {{ALPHA_MIN}}, ALPHA_MAX = {{ALPHA_MAX}}, NEAR = {{NEAR}};

flat in vec4 color;
flat in float shape;
flat in vec4 across;
flat in vec3 lean;
in vec2 place;
uniform vec4 lens;
uniform bool surface;
out vec4 pixel;

// The squared distance from a disc's centre, in its standard deviations, at which the pixel's ray meets it; where the
// screen-space filter is larger, that of the filter.
float met() {
  vec2 ray = place / lens.xy, left = across.xy - ray.x * lean.xy, right = across.zw - ray.y * lean.xy;
  float determinant = left.x * right.y - left.y * right.x, filtered = 2.0 * dot(place, place);
  vec2 uv = vec2(ray.x * right.y - left.y * ray.y, left.x * ray.y - ray.x * right.x) * lean.z / determinant;
  float depth = lean.z + dot(lean.xy, uv);
  return depth > NEAR && dot(uv, uv) < filtered ? dot(uv, uv) : filtered;
}

void main() {
  float square = surface ? met() : dot(place, place);
  if (shape != 2.0) square = pow(max(square, 1e-30), 0.5 * shape);
  float alpha = min(color.a * exp(-0.5 * square), ALPHA_MAX);
  if (alpha < ALPHA_MIN) discard;
  pixel = vec4(color.rgb * alpha, alpha);
}
