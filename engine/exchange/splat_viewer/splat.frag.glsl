#version 300 es
// A pixel of a splat, premultiplied; colours are sRGB-encoded and blended as they are.
precision highp float;

const float ALPHA_MIN = {{ALPHA_MIN}}, ALPHA_MAX = {{ALPHA_MAX}};

flat in vec4 color;
flat in float shape;
in vec2 place;
out vec4 pixel;

void main() {
  float square = dot(place, place);
  if (shape != 2.0) square = pow(max(square, 1e-30), 0.5 * shape);
  float alpha = min(color.a * exp(-0.5 * square), ALPHA_MAX);
  if (alpha < ALPHA_MIN) discard;
  pixel = vec4(color.rgb * alpha, alpha);
}
